import type { Call } from './call-judge.ts'
import type { PublicData } from './data.ts'
import type { LabelledCall, Takeover } from './takeover-judging.ts'

/** The development half of the GitHub takeovers, in file order. */
export interface TakeoverLog {
  readonly calls: readonly (LabelledCall & { readonly operation: string; readonly resource: string })[]
  readonly takeovers: readonly Takeover[]
}

const SECOND_MS = 1_000
const SET = 'github-activity'

/** Reads activity, labels of takeovers and of their events. */
export function readTakeovers(data: PublicData): TakeoverLog {
  const attackRows = new Set<number>()
  for (const line of data.lines(SET, 'github_takeover_dev_eventlabels.csv.gz').slice(1)) {
    const [row, attack] = line.split(',')
    if (attack === '1') attackRows.add(Number(row))
  }
  const calls = data
    .lines(SET, 'github_takeover_dev.csv.gz')
    .slice(1)
    .map((line, row) => {
      const [ts, principal, operation, resource] = line.split(',') as [string, string, string, string]
      return { principal, operation, resource, time: Number(ts) * SECOND_MS, attack: attackRows.has(row) }
    })
  const takeovers = data
    .lines(SET, 'github_takeover_dev_labels.csv')
    .slice(1)
    .map((line) => {
      const [principal, level, , first, last] = line.split(',') as [string, string, string, string, string]
      return { principal, level, first: Number(first) * SECOND_MS, last: Number(last) * SECOND_MS }
    })
  return { calls, takeovers }
}

/** An activity as the API call that it is: an operation on a repository. */
export function callOf({ time, principal, operation, resource }: TakeoverLog['calls'][number]): Call {
  return {
    time,
    principal,
    method: 'POST',
    path: `/repos/${resource}/${operation}`,
    route: `/repos/{id}/${operation}`,
    objectIds: [resource],
  }
}
