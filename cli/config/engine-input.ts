import { createHash } from 'node:crypto'
import type { EngineSettings } from '../../engine/settings.ts'
import type { SourceSettings } from '../../ingest/format.ts'
import { hashEmails } from '../../ingest/hashed-emails.ts'
import { identityKeyOf } from '../identity-key.ts'
import type { Config, SourceConfig } from './schema.ts'

/** What the configuration says about detection and policy, in the words of the engine. */
export function engineSettings(config: Config): Omit<EngineSettings, 'version'> {
  const named = (entity: string) =>
    config.privacy.emails === 'hash' ? hashEmails(entity, identityKeyOf(config)) : entity
  return {
    values: config.detection,
    modes: [
      ...config.modes.map((rule) =>
        rule.principal === undefined ? rule : { ...rule, principal: named(rule.principal) },
      ),
      { mode: config.defaultMode },
    ],
    allow: config.allow.map((rule) => ({
      ...rule,
      tenant: named(rule.tenant),
      entity: named(rule.entity),
      expires: null,
    })),
    ...(config.maintenance.length === 0
      ? {}
      : {
          maintenance: config.maintenance.map((window) => ({
            ...window,
            tenant: named(window.tenant),
            ...(window.entity === undefined ? {} : { entity: named(window.entity) }),
          })),
        }),
  }
}

/** What a source fixes for its lines, in the words of the formats. */
export function sourceSettings(config: Config, source: SourceConfig): SourceSettings {
  return {
    tenant: source.tenant ?? config.tenant,
    tenantField: source.tenantField ?? null,
    gateway: { kind: source.gateway.kind, id: source.gateway.id },
    gatewayField: source.gateway.field ?? null,
    principal: {
      order: source.principal.order,
      issuers: new Map(Object.entries(source.principal.issuers)),
    },
    records: {
      headers: source.records.headers,
      contentRange: source.records.contentRange,
      field: source.records.field ?? null,
      bytesPerRecord: source.records.bytesPerRecord ?? null,
    },
  }
}

/** Who may use the admin API, with the SHA-256 (lower-case hex) of each token. */
export function adminTokens(config: Config): readonly {
  readonly name: string
  readonly role: Config['admin']['tokens'][number]['role']
  readonly sha256: string
}[] {
  return config.admin.tokens.map(({ name, role, token, sha256 }) => ({
    name,
    role,
    sha256: sha256 ?? createHash('sha256').update(token!.reveal()).digest('hex'),
  }))
}
