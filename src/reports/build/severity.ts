export const SEVERITIES = ['LOW', 'MEDIUM', 'HIGH', 'CRITICAL'] as const
export type Severity = (typeof SEVERITIES)[number]

/** It and those that are worse, the least first. */
export const severitiesFrom = (least: Severity): readonly Severity[] => SEVERITIES.slice(SEVERITIES.indexOf(least))
