import type { AdminApp } from '../route.ts'

/** The description of this API, made from its own schemas. */
export function openApiRoute(app: AdminApp): void {
  app.get(
    '/openapi.json',
    { config: { role: 'viewer' }, schema: { summary: 'This description', tags: ['health'] } },
    async () => app.swagger(),
  )
}
