import { dashboardFiles } from '../dashboard/files.ts'
import type { AdminApp } from '../route.ts'

/** The dashboard is static and public; every fact that it shows comes from the API under the viewer's token. */
export function dashboardRoutes(app: AdminApp): void {
  for (const [path, file] of Object.entries(dashboardFiles)) {
    app.get(path, { config: { role: 'public' }, schema: { hide: true } }, async (_request, reply) =>
      reply.type(file.type).send(file.content),
    )
  }
}
