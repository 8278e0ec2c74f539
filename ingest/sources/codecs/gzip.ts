import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { badCompression } from './bounded-output.ts'

const gunzipAsync = promisify(gunzip)
const gzipAsync = promisify<Uint8Array, Buffer>(gzip)

/** Compresses with the default level. */
export function compressGzip(data: Uint8Array): Promise<Buffer> {
  return gzipAsync(data)
}

/** Decompresses gzip members off the main thread; fails beyond `limit` bytes. */
export async function decompressGzip(data: Uint8Array, limit: number): Promise<Buffer> {
  try {
    return await gunzipAsync(data, { maxOutputLength: limit })
  } catch (error) {
    throw badCompression('gzip', error instanceof Error ? error.message : 'it is damaged')
  }
}
