import { expect } from 'vitest'
import type { Checkpoint, PartitionStore, Position, StateStore } from '../../../baseline/store.ts'

/** What the contract needs to treat a store roughly. */
export interface StoreUnderTest {
  readonly store: StateStore
  /** Ends the store in good order and opens it again over the same data. */
  reopen(): Promise<StateStore>
  /**
   * Starts a commit on the last opened store and cuts the power at a moment of its course (0 = before,
   * 1 = after). Returns a store over what survived. Absent where power cannot be cut.
   */
  cut?(commit: () => Promise<void>, moment: number): Promise<StateStore>
  dispose(): Promise<void>
}

/** One promise of {@link StateStore}; `run` rejects when it is broken. */
export interface StoreCheck {
  readonly name: string
  run(subject: StoreUnderTest): Promise<void>
}

export const NOWHERE: Position = { offset: -1, recordHash: '' }

export function at(offset: number): Position {
  return { offset, recordHash: offset.toString(16).padStart(64, '0') }
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function checkpoint(
  expected: Position,
  position: Position,
  puts: Readonly<Record<string, string>>,
  deletes: readonly string[] = [],
): Checkpoint {
  return {
    expected,
    position,
    puts: new Map(Object.entries(puts).map(([key, value]) => [key, bytes(value)])),
    deletes,
  }
}

export async function texts(owner: PartitionStore, keys: readonly string[]): Promise<(string | undefined)[]> {
  const values = await owner.get(keys)
  return values.map((value) => (value === undefined ? undefined : new TextDecoder().decode(value)))
}

export async function scanned(
  from: AsyncIterable<readonly [string, Uint8Array]>,
): Promise<[string, string][]> {
  const found: [string, string][] = []
  for await (const [key, value] of from) found.push([key, new TextDecoder().decode(value)])
  return found.sort(([a], [b]) => (a < b ? -1 : 1))
}

export async function refuses(action: Promise<unknown>, code: string): Promise<void> {
  await expect(action).rejects.toMatchObject({ name: 'CurfewError', code })
}

export function alert(id: string) {
  return { id, kind: 'alert', body: `{"id":"${id}"}` } as const
}
