import { withoutLinks } from './log-text.ts'
import type { DigestText, Line, MessageText, Span } from './message-text.ts'
import { plainLine } from './message-text.ts'

/** Slack's own bounds (docs.slack.dev, Block Kit): text of a header, of any text object, blocks of a message. */
export const MAX_HEADER_LENGTH = 150
export const MAX_TEXT_LENGTH = 3000
export const MAX_BLOCKS = 50

/** Entries of a digest that are shown; keeps the list below {@link MAX_TEXT_LENGTH}. */
export const MAX_DIGEST_ENTRIES = 10

interface PlainText {
  readonly type: 'plain_text'
  readonly text: string
  readonly emoji: false
}

type RichElement =
  | {
      readonly type: 'text'
      readonly text: string
      readonly style?: { readonly bold?: true; readonly code?: true }
    }
  | { readonly type: 'link'; readonly url: string; readonly text: string }

interface RichSection {
  readonly type: 'rich_text_section'
  readonly elements: readonly RichElement[]
}

interface RichList {
  readonly type: 'rich_text_list'
  readonly style: 'bullet'
  readonly elements: readonly RichSection[]
}

/** Only block types that never parse their text: no `mrkdwn` anywhere. */
export type SlackBlock =
  | { readonly type: 'header'; readonly text: PlainText }
  | { readonly type: 'context'; readonly elements: readonly PlainText[] }
  | { readonly type: 'rich_text'; readonly elements: readonly (RichSection | RichList)[] }

/** The parts of a Slack message that do not depend on the way it is sent. */
export interface SlackPayload {
  /** Shown in notifications. */
  readonly text: string
  readonly mrkdwn: false
  readonly blocks: readonly SlackBlock[]
  readonly unfurl_links: false
  readonly unfurl_media: false
}

/**
 * Slack's three control characters as entities, as its formatting reference asks; at most `max` characters
 * after that, never ending inside an entity.
 */
export function slackText(text: string, max: number): string {
  const whole = text.replace(/[&<>]/g, entity)
  if (whole.length <= max) return whole
  let cut = ''
  for (const character of text) {
    const next = entity(character)
    if (cut.length + next.length > max - 1) break
    cut += next
  }
  return `${cut}…`
}

function entity(character: string): string {
  return character === '&' ? '&amp;' : character === '<' ? '&lt;' : character === '>' ? '&gt;' : character
}

/** The message about one incident. */
export function messagePayload(text: MessageText): SlackPayload {
  const undo = richElements(text.undo)
  if (text.link !== null)
    undo.push({ type: 'text', text: ' ' }, { type: 'link', url: text.link, text: 'Open the incident' })
  const blocks: SlackBlock[] = [header(text.title)]
  for (const fact of text.facts) blocks.push({ type: 'rich_text', elements: [section(richElements(fact))] })
  if (text.why.length > 0) blocks.push(list('Why', text.why))
  blocks.push(list('Done', text.done))
  blocks.push({ type: 'rich_text', elements: [section(undo)] }, context(text.footer))
  return payload([text.title, ...text.facts.slice(0, 1)], blocks)
}

/** The message about a storm. */
export function digestPayload(text: DigestText): SlackPayload {
  const entries =
    text.rest === null ? text.entries : [...text.entries, [{ text: text.rest, from: 'us' } as const]]
  const blocks: SlackBlock[] = [header(text.title)]
  if (entries.length > 0) blocks.push(list('The most severe first', entries))
  blocks.push(context(text.footer))
  return payload([text.title], blocks)
}

function payload(fallback: readonly Line[], blocks: readonly SlackBlock[]): SlackPayload {
  const text = slackText(withoutLinks(fallback.map(plainLine).join(': ')), MAX_TEXT_LENGTH)
  return { text, mrkdwn: false, blocks, unfurl_links: false, unfurl_media: false }
}

function header(title: Line): SlackBlock {
  return { type: 'header', text: plain(title, MAX_HEADER_LENGTH) }
}

function context(line: Line): SlackBlock {
  return { type: 'context', elements: [plain(line, MAX_TEXT_LENGTH)] }
}

function plain(line: Line, max: number): PlainText {
  return { type: 'plain_text', text: slackText(withoutLinks(plainLine(line)), max), emoji: false }
}

function list(heading: string, lines: readonly Line[]): SlackBlock {
  return {
    type: 'rich_text',
    elements: [
      section([{ type: 'text', text: heading, style: { bold: true } }]),
      { type: 'rich_text_list', style: 'bullet', elements: bounded(lines).map(section) },
    ],
  }
}

/** The lines that fit into one block together, the last one cut. */
function bounded(lines: readonly Line[]): readonly (readonly RichElement[])[] {
  const fitting: (readonly RichElement[])[] = []
  let room = MAX_TEXT_LENGTH - 100
  for (const line of lines) {
    const elements = richElements(line, room)
    room -= elements.reduce((sum, element) => sum + element.text.length, 0)
    if (elements.length > 0) fitting.push(elements)
  }
  return fitting
}

function section(elements: readonly RichElement[]): RichSection {
  return { type: 'rich_text_section', elements }
}

function richElements(line: Line, max = MAX_TEXT_LENGTH - 100): RichElement[] {
  const elements: RichElement[] = []
  let room = max
  for (const span of line) {
    if (span.text === '' || room <= 1) continue
    const text = slackText(span.text, room)
    room -= text.length
    elements.push(richElement(span, text))
  }
  return elements
}

function richElement(span: Span, text: string): RichElement {
  return span.from === 'log' ? { type: 'text', text, style: { code: true } } : { type: 'text', text }
}
