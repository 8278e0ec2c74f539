import type { Call } from './call-judge.ts'
import type { PublicData } from './data.ts'
import { byScore, type Ranked } from './ranking.ts'

/** One day of requests, and the clients that the SEC refused in it. */
export interface EdgarDay {
  readonly calls: readonly Call[]
  /** Clients with an answer 403 or 429. */
  readonly refused: ReadonlySet<string>
}

const REFUSALS = new Set(['403.0', '429.0'])

/** Reads the day: a document of a company is asked for; neither status nor size, which are the label, is kept. */
export function readEdgar(data: PublicData): EdgarDay {
  const refused = new Set<string>()
  const calls = data
    .lines('weblogs', 'edgar_20170101.csv.gz')
    .slice(1)
    .map((line): Call => {
      const [principal, date, clock, , cik, accession, extension, code] = line.split(',') as string[]
      if (REFUSALS.has(code!)) refused.add(principal!)
      const company = String(Number(cik))
      // The set splits `<accession>-index.htm` and `<accession>/doc4.xml` alike.
      const document = /^[-.]/.test(extension!) ? `${accession}${extension}` : `${accession}/${extension}`
      return {
        time: Date.parse(`${date}T${clock}Z`),
        principal: principal!,
        method: 'GET',
        path: `/Archives/edgar/data/${company}/${document}`,
      }
    })
  return { calls, refused }
}

/** Every client with its largest score of the day, highest first. */
export function rankClients({ calls, refused }: EdgarDay, scores: Float64Array): readonly Ranked[] {
  const largest = new Map<string, number>()
  for (const [i, { principal }] of calls.entries()) {
    largest.set(principal, Math.max(largest.get(principal) ?? 0, scores[i]!))
  }
  return byScore([...largest].map(([principal, score]) => ({ score, positive: refused.has(principal) })))
}
