export { brief } from './brief.ts'
export { fileName } from './format.ts'
export { reportJson } from './json.ts'
export { createRenderer, type RendererDependencies } from './render.ts'
