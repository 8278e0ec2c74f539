import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'

/** How the route schemas become an OpenAPI 3.1 description. */
export const openApiOptions: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Curfew admin API',
      version: '1',
      description:
        'Inspect, tune, preview, approve, undo and audit. Roles, weakest first: viewer, responder, tuner, admin; ' +
        'each may do what the ones before it may. `x-curfew-role` names the role that an operation needs.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    tags: [
      { name: 'health', description: 'Whether it runs, and how' },
      { name: 'principals', description: 'Who calls and what is normal for each' },
      { name: 'incidents', description: 'What was noticed, and why' },
      { name: 'decisions', description: 'What should hold at the gateways' },
      { name: 'settings', description: 'Thresholds, modes and exceptions' },
      { name: 'audit', description: 'Who changed what' },
    ],
  },
  transform: ({ schema, url, route }) => {
    const role = route.config?.role ?? 'admin'
    const security = role === 'public' ? [] : [{ token: [] }]
    return { schema: { ...schema, security, 'x-curfew-role': role }, url }
  },
}
