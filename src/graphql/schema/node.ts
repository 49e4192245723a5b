import { isObjectType } from 'graphql'

import { CAMPAIGN_ID, SUSPICIOUS_IP_ID } from '../../detection/index.ts'
import { holds, type Scope } from '../../http/index.ts'
import { JOB_RUN_ID } from '../../jobs/index.ts'
import { BLOCK_LIST_ENTRY_ID } from '../../ratelimit/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { selectionOf } from '../selection.ts'
import { API_KEY_ID } from './api-keys.ts'
import { findCampaign } from './campaigns.ts'
import { Node } from './common.ts'
import { mayReadPolicy } from './rate-limit-policies.ts'
import { mayReadSubscription, SUBSCRIPTION_ID } from './report-subscriptions.ts'
import { findReport, isReportId } from './reports.ts'
import { findRequestLog, REQUEST_LOG_ID } from './request-logs.ts'

const check = ({ principal }: Context, type: string, scope: Scope): void => {
  if (!holds(principal, scope))
    throw publicError('FORBIDDEN', `a node of type ${type} needs an API key with scope ${scope}`, { scope })
}

builder.queryField('node', (t) =>
  t.field({
    type: Node,
    nullable: true,
    description:
      'Anything by its id, with the scope that its type needs: RequestLog LOGS_READ, ApiKey and JobRun ADMIN, RateLimitPolicy, BlockListEntry, Detector, SuspiciousIp and Campaign SECURITY_READ, SecurityReport and ReportSubscription REPORTS_READ. Null: there is none such, or not for this key.',
    args: { id: t.arg.id({ required: true, description: 'From an earlier answer.' }) },
    resolve: async (_root, { id }, context, info) => {
      if (id.startsWith(API_KEY_ID)) {
        check(context, 'ApiKey', 'ADMIN')
        return context.keys.get(id) ?? null
      }
      if (id.startsWith(JOB_RUN_ID)) {
        check(context, 'JobRun', 'ADMIN')
        return (await context.jobs.get(id)) ?? null
      }
      if (id.startsWith(REQUEST_LOG_ID)) {
        check(context, 'RequestLog', 'LOGS_READ')
        const type = info.schema.getType('RequestLog')
        return (await findRequestLog(id, isObjectType(type) ? selectionOf(info, type) : [], context)) ?? null
      }
      if (id.startsWith(BLOCK_LIST_ENTRY_ID)) {
        check(context, 'BlockListEntry', 'SECURITY_READ')
        return context.blockList.get(id) ?? null
      }
      if (id.startsWith(SUSPICIOUS_IP_ID)) {
        check(context, 'SuspiciousIp', 'SECURITY_READ')
        return (await context.suspicious.get([id], askerOf(context, 'node')))[0] ?? null
      }
      if (id.startsWith(CAMPAIGN_ID)) {
        check(context, 'Campaign', 'SECURITY_READ')
        return (await findCampaign(id, context)) ?? null
      }
      if (id.startsWith(SUBSCRIPTION_ID)) {
        check(context, 'ReportSubscription', 'REPORTS_READ')
        const subscription = context.reports.subscriptions.get(id)
        return subscription && mayReadSubscription(context, subscription) ? subscription : null
      }
      if (isReportId(id)) {
        check(context, 'SecurityReport', 'REPORTS_READ')
        return findReport(id, context) ?? null
      }
      // These go last, since ids of POLICY_FILE and DETECTORS_DIR are the operator's words.
      const policy = context.policies.get(id)
      const detector = policy ? undefined : context.detection.detectors.get(id)
      if (detector) {
        check(context, 'Detector', 'SECURITY_READ')
        return detector
      }
      if (!policy) return null
      check(context, 'RateLimitPolicy', 'SECURITY_READ')
      return mayReadPolicy(context, policy) ? policy : null
    },
  }),
)
