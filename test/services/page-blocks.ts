import { readFileSync } from 'node:fs'

/** The code blocks of one language on a page of the documentation: what people paste is what tests run. */
export function pageBlocks(page: string, language: string): readonly string[] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm')
  return [...text.matchAll(fence)].map((match) => match[1] ?? '')
}
