import type { AdminApp } from '../route.ts'

/** The text that Prometheus reads, as a registry renders it. */
export type MetricsSource = () => Promise<{ readonly contentType: string; readonly body: string }>

/** Metrics for Prometheus; open to everyone only when the configuration says so. */
export function metricsRoutes(app: AdminApp, metrics: MetricsSource, open: boolean): void {
  app.get(
    '/metrics',
    {
      config: { role: open ? 'public' : 'viewer' },
      schema: {
        summary: 'Metrics in the Prometheus text format',
        tags: ['health'],
        produces: ['text/plain'],
      },
    },
    async (_request, reply) => {
      const { contentType, body } = await metrics()
      return reply.header('content-type', contentType).send(body)
    },
  )
}
