export { forgetInNotices } from './forget.ts'
export { createIncidents, type Incidents, type IncidentsDependencies } from './incidents.ts'
export { renderIncident } from './render.ts'
