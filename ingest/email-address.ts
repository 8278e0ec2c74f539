const LOCAL = String.raw`(?:\\?"[^"\\]{1,64}\\?"|[^\s"'\\/,;:<>()[\]{}|@＠&?#]{1,256})`
const LABEL = String.raw`[\p{L}\p{N}\p{M}\p{Cf}_%-]{1,63}`
/** Whatever a reader or a mail server would take for an address: any script, quoted names, escaped at signs. */
const EMAIL = new RegExp(
  `${LOCAL}(?:[@＠]|%40)(?:\\[[^\\]\\s]{1,64}\\]|${LABEL}(?:[.。．｡]${LABEL}){1,16})`,
  'gu',
)

/** The text with every e-mail address in it replaced by what `replacement` says of it. */
export function replaceEmails(text: string, replacement: (email: string) => string): string {
  if (!text.includes('@') && !text.includes('%40') && !text.includes('＠')) return text
  return text.replace(EMAIL, replacement)
}
