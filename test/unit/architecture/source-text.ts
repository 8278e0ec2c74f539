/** A source file seen three ways; all three keep every line break, so that line numbers agree. */
export interface SourceViews {
  /** Without comments; strings as they are. */
  readonly statements: string
  /** Without comments and without the content of strings, templates and regular expressions. */
  readonly code: string
  /** Comments only. */
  readonly comments: string
}

const REGEX_MAY_FOLLOW =
  /(?:^|[(,=:[!&|?{;+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|await|yield))\s*$/

/** Splits TypeScript source. A small scanner: it knows comments, strings, templates and regular expressions. */
export function viewsOf(source: string): SourceViews {
  let statements = ''
  let code = ''
  let comments = ''
  /** Depth of braces inside each open `${`. */
  const templates: number[] = []
  let at = 0
  const take = (length: number, kind: 'code' | 'string' | 'comment') => {
    const text = source.slice(at, at + length)
    const blank = text.replace(/[^\n]/g, ' ')
    statements += kind === 'comment' ? blank : text
    code += kind === 'code' ? text : blank
    comments += kind === 'comment' ? text : blank
    at += length
  }
  const takeTemplate = () => {
    const length = templateLength(source, at)
    const opens = source.startsWith('${', at + length - 2)
    take(opens ? length - 2 : length, 'string')
    if (!opens) return
    take(2, 'code')
    templates.push(0)
  }
  while (at < source.length) {
    const c = source[at]
    const open = templates.length - 1
    if (source.startsWith('//', at)) take(lengthTo(source, at, '\n'), 'comment')
    else if (source.startsWith('/*', at)) take(lengthTo(source, at + 2, '*/') + 4, 'comment')
    else if (c === "'" || c === '"') take(quotedLength(source, at, c), 'string')
    else if (c === '`') takeTemplate()
    else if (c === '/' && REGEX_MAY_FOLLOW.test(code.slice(-40))) take(regexLength(source, at), 'string')
    else if (c === '}' && templates[open] === 0) {
      templates.pop()
      takeTemplate()
    } else {
      if (open >= 0 && c === '{') templates[open]!++
      if (open >= 0 && c === '}') templates[open]!--
      take(1, 'code')
    }
  }
  return { statements, code, comments }
}

function lengthTo(source: string, from: number, end: string): number {
  const found = source.indexOf(end, from)
  return (found === -1 ? source.length : found) - from
}

function quotedLength(source: string, start: number, quote: string): number {
  let i = start + 1
  while (i < source.length && source[i] !== quote && source[i] !== '\n') i += source[i] === '\\' ? 2 : 1
  return i + 1 - start
}

/** Length from the opening backtick, or from the `}` that ends an expression, to the end or the next `${`. */
function templateLength(source: string, start: number): number {
  let i = start + 1
  while (i < source.length) {
    if (source[i] === '\\') i++
    else if (source[i] === '`') return i + 1 - start
    else if (source.startsWith('${', i)) return i + 2 - start
    i++
  }
  return source.length - start
}

function regexLength(source: string, start: number): number {
  let i = start + 1
  let inClass = false
  while (i < source.length && source[i] !== '\n' && (inClass || source[i] !== '/')) {
    if (source[i] === '\\') i++
    else if (source[i] === '[') inClass = true
    else if (source[i] === ']') inClass = false
    i++
  }
  const flags = /^[a-z]*/.exec(source.slice(i + 1, i + 9))![0].length
  return i + 1 + flags - start
}

/** What a file imports, with the line. Static, type-only, re-exporting and dynamic with a literal. */
export function importsOf(statements: string): readonly { readonly target: string; readonly line: number }[] {
  const pattern =
    /(?:^[ \t]*(?:import|export)\b[^'"`;=()]*?\bfrom[ \t]*|^[ \t]*import[ \t]*|\bimport[ \t]*\([ \t]*)(['"])([^'"\n]+)\1/gm
  return [...statements.matchAll(pattern)].map((match) => ({
    target: match[2]!,
    line: lineAt(statements, match.index + match[0].length),
  }))
}

/** Line number, from 1, of an index. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}
