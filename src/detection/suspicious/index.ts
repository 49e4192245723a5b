export { CAMPAIGN_ID, type CampaignOf, campaignsOf, type Traits } from './campaigns.ts'
export { neighbourhood, SUSPICIOUS_IP_ID, suspiciousIpId } from './address.ts'
export { SUSPICIOUS_IP_ORDERS, type SuspiciousIpFilter, type SuspiciousIpOrder } from './list.ts'
export { type Range } from './merge.ts'
export { type Precision, toPrecision, wilsonInterval } from './precision.ts'
export { type Reviewed } from './reviewed.ts'
export { createSuspiciousIpsRoute, type SuspiciousIpsRouteDependencies } from './routes.ts'
export {
  createSuspicious,
  type Suspicious,
  type SuspiciousAddress,
  type SuspiciousDependencies,
  type SuspiciousInput,
  type SuspiciousPage,
} from './suspicious.ts'
export { BLOCK_DURATIONS, type BlockDuration, type ReviewInput } from './verdicts.ts'
export { blockedCidr } from '../blocks.ts'
