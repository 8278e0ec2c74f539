import type { HttpAsked, HttpPlane } from './dry-fetch.ts'

/** A receiver of Security Event Tokens: it keeps nothing that could be read, and takes what it is sent. */
export const receiverPlane: HttpPlane = {
  isRead: ({ method }: HttpAsked) => method === 'OPTIONS',
  read: (_, answer) => answer,
  write: () => ({ status: 202, body: null }),
  offline: () => ({ status: 200, body: null }),
}
