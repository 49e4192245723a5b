/** How it counts as one thing: by the campaign, by its only address, or as the rest. */
export type Subject = 'CAMPAIGN' | 'ADDRESS' | 'REST'

/** Somebody who did it. Texts are as they came: countries by their code, names as registries have them. */
export interface Culprit {
  ip: string
  country: string | null
  asn: number | null
  asOrganization: string | null
  /** 0 to 100. */
  score: number
  isBlocked: boolean
}

/** What a detector of severity CRITICAL saw: of all that it found of these addresses in the hour, the strongest. */
export interface Sighting {
  detector: string
  /** A sentence for people. */
  summary: string
  observed: number
  threshold: number
  addresses: number
}

/**
 * What happened in one hour, of one campaign: what mails, webhooks and the record of it hold, as JSON. `target` and `campaign.summary`
 * have texts of visitors in them: whoever shows them disarms them.
 */
export interface Notice {
  /** `inc_` and what the subject and the hour make of it: the same when the hour is run again. */
  id: string
  subject: Subject
  /** RFC 3339; the hour that was closed, half-open. */
  hour: { from: string; to: string }
  campaign: { id: string; summary: string } | null
  /** The worst of them, ten at most. */
  addresses: readonly Culprit[]
  addressCount: number
  blockedCount: number
  sightings: readonly Sighting[]
  /** What was asked for most, of the strongest finding that says so. */
  target: string | null
  services: readonly string[]
  /** Below PUBLIC_URL: where it can be looked into. */
  link: string
}

/** What was found of one address in the hour, as narrow as a notice about some services needs it. */
export interface Evidence {
  /** `sus_…`, of the suspicious address. */
  id: string
  culprit: Culprit
  /** The strongest first; one at least. */
  findings: readonly {
    detector: string
    /** A sentence for people, without what was asked for. */
    summary: string
    observed: number
    threshold: number
    score: number
    target: string | null
    services: readonly string[]
  }[]
}

/** `REFUSED`: the target lies where none may be; `FAILED`: given up. */
export type PostState = 'PENDING' | 'SENT' | 'REFUSED' | 'FAILED'

/** What became of telling a webhook. */
export interface PostRecord {
  /** Of the target; its path is a secret. */
  host: string
  state: PostState
  /** That came to an end. */
  attempts: number
  /** RFC 3339; null: it is not over. */
  endedAt: string | null
  /** Why it was not taken. */
  error: string | null
}

/** A mail of the same words to some. */
export interface IncidentMail {
  /** Null: to INCIDENT_TO. */
  subscriptionId: string | null
  /** Those that it tells of; null: all. */
  services: readonly string[] | null
  recipients: readonly string[]
}

/** A notice as it is kept. */
export interface Incident {
  /** RFC 3339. */
  recordedAt: string
  notice: Notice
  /** All of them, as they are counted: in this hour, nobody is told of twice. */
  told: readonly string[]
  /** Of the worst, 500 at most. */
  evidence: readonly Evidence[]
  /** Who gets it by mail: settled when it was recorded, so that it is the same whoever queues them. */
  mails: readonly IncidentMail[]
  /** By the hash of the target, since addresses of webhooks are secrets. */
  posts: Readonly<Record<string, PostRecord>>
}
