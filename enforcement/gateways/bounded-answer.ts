/** The text of an answer; throws when it is longer than a control plane has reason to be. */
export async function boundedText(answer: Response, maxBytes: number): Promise<string> {
  if (answer.body === null) return ''
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
