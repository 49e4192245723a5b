export { createRenderer, type RendererDependencies } from './render.ts'
