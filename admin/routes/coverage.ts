import { type AdminApp, answers, type RouteContext } from '../route.ts'
import { CoverageSchema } from '../schemas.ts'

/** What is seen of the traffic, and what is not. */
export function coverageRoutes(app: AdminApp, { controlPlane }: RouteContext): void {
  app.get(
    '/v1/coverage',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'How completely each source and gateway is seen, and coverage incidents',
        tags: ['coverage'],
        response: answers(CoverageSchema),
      },
    },
    async () => controlPlane.coverage(),
  )
}
