import { Type } from '@sinclair/typebox'
import type { Actor } from '../../engine/control-plane.ts'
import { SETTING_SPECS } from '../../engine/settings.ts'
import { roleAtLeast } from '../access.ts'
import { changed, found, Problem, quoted } from '../problem.ts'
import { type AdminApp, actorOf, answers, type RouteContext } from '../route.ts'
import { strict } from '../schemas.ts'
import {
  checkExpiry,
  checkNext,
  classifyChange,
  hiddenBy,
  MIN_LOOSENING_REASON,
  type NextSettings,
  notJudged,
  type SettingsChange,
} from '../settings-change.ts'
import {
  ChangedSettings,
  HistorySchema,
  type NextSettingsBody,
  PreviewAnswer,
  PreviewBody,
  PutBody,
  RevertBody,
  SettingsSchema,
  SpecsSchema,
} from '../settings-schemas.ts'

const MAX_HISTORY = 500
/** Incidents that a preview looks back at. */
const PREVIEW_INCIDENTS = 500
const HistoryQuery = strict({ limit: Type.Integer({ minimum: 1, maximum: MAX_HISTORY, default: 50 }) })

/** Thresholds, modes and exceptions: versioned, previewable, revertible. */
export function settingsRoutes(app: AdminApp, context: RouteContext): void {
  const { controlPlane } = context
  app.get(
    '/v1/settings',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'The settings in force; the ETag is their version',
        tags: ['settings'],
        response: answers(SettingsSchema),
      },
    },
    async (_request, reply) => {
      const settings = await controlPlane.settings()
      return reply.header('etag', `"${settings.version}"`).send(settings)
    },
  )
  app.get(
    '/v1/settings/history',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'Versions of the settings, newest first',
        tags: ['settings'],
        querystring: HistoryQuery,
        response: answers(HistorySchema),
      },
    },
    async ({ query }) => ({ items: await controlPlane.settingsHistory(query.limit) }),
  )
  app.get(
    '/v1/settings/specs',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'Default, bounds, unit and meaning of every threshold',
        tags: ['settings'],
        response: answers(SpecsSchema),
      },
    },
    async () => SETTING_SPECS,
  )
  previewRoute(app, context)
  putRoute(app, context)
  revertRoute(app, context)
}

function previewRoute(app: AdminApp, { controlPlane, clock }: RouteContext): void {
  app.post(
    '/v1/settings/preview',
    {
      config: { role: 'viewer' },
      schema: {
        summary: 'What settings would tighten, loosen and hide; changes nothing',
        tags: ['settings'],
        body: PreviewBody,
        response: answers(PreviewAnswer),
      },
    },
    async ({ body }) => {
      const current = await controlPlane.settings()
      const next = nextOf(body.settings)
      checkNext(current, next, clock.now())
      const change = classifyChange(current, next)
      const { items } = await controlPlane.incidents({ limit: PREVIEW_INCIDENTS })
      return {
        change,
        needs: { role: needsTuner(change) ? 'tuner' : 'responder', expires: change.change === 'loosen' },
        wouldHide: {
          incidents: hiddenBy(current, next, items),
          looked: items.length,
          notJudged: notJudged(change),
        },
      }
    },
  )
}

function putRoute(app: AdminApp, { controlPlane, clock }: RouteContext): void {
  app.put(
    '/v1/settings',
    {
      config: { role: 'responder' },
      schema: {
        summary:
          'Change the settings; needs If-Match or expectedVersion. A loosening needs role tuner and an end',
        tags: ['settings'],
        body: PutBody,
        response: answers(ChangedSettings),
      },
    },
    async (request, reply) => {
      const { body } = request
      const actor = actorOf(request)
      const expected = expectedVersion(request.headers['if-match'], body.expectedVersion)
      const current = await controlPlane.settings()
      if (current.version !== expected) {
        throw new Problem('conflict', `the settings are at version ${current.version}, not ${expected}`)
      }
      const next = nextOf(body.settings)
      checkNext(current, next, clock.now())
      const change = classifyChange(current, next)
      const expires = permitted(change, actor, body, clock.now())
      const settings = changed(await controlPlane.putSettings(next, expected, actor, body.reason, expires))
      return reply.header('etag', `"${settings.version}"`).send({ settings, change })
    },
  )
}

function revertRoute(app: AdminApp, { controlPlane, clock }: RouteContext): void {
  app.post(
    '/v1/settings/revert',
    {
      config: { role: 'responder' },
      schema: {
        summary: 'Make an earlier version current again; a loosening needs role tuner and an end',
        tags: ['settings'],
        body: RevertBody,
        response: answers(ChangedSettings),
      },
    },
    async (request, reply) => {
      const { body } = request
      const history = await controlPlane.settingsHistory(MAX_HISTORY)
      const target = history.find((entry) => entry.settings.version === body.version)?.settings ?? null
      const current = await controlPlane.settings()
      const change = classifyChange(current, found(target, 'version of the settings'))
      const expires = permitted(change, actorOf(request), body, clock.now())
      const settings = changed(
        await controlPlane.revertSettings(
          body.version,
          current.version,
          actorOf(request),
          body.reason,
          expires,
        ),
      )
      return reply.header('etag', `"${settings.version}"`).send({ settings, change })
    },
  )
}

/** Absent optional members stay absent; everything else is taken as validated. */
function nextOf(body: NextSettingsBody): NextSettings {
  return body as NextSettings
}

/** Loosening, and saying where the engine may act by itself, is for tuners. */
function needsTuner(change: SettingsChange): boolean {
  return change.change === 'loosen' || change.fields.some((f) => f.field.startsWith('modes['))
}

/** Refuses what the caller may not do, or not in this form; returns the end of a loosening. */
function permitted(
  change: SettingsChange,
  actor: Actor,
  body: { readonly reason: string; readonly expires?: string },
  now: number,
): string | null {
  const loosening = change.fields.filter((f) => f.change === 'loosen').map((f) => quoted(f.field))
  if (needsTuner(change) && !roleAtLeast(actor.role, 'tuner')) {
    const what = loosening.length > 0 ? `loosening ${loosening.slice(0, 5).join(', ')}` : 'changing modes'
    throw new Problem('forbidden', `${what} needs the role tuner`)
  }
  if (change.change !== 'loosen') return null
  if (body.reason.trim().length < MIN_LOOSENING_REASON) {
    throw new Problem('invalid', `a loosening needs a reason of ${MIN_LOOSENING_REASON} characters`, 'reason')
  }
  checkExpiry(body.expires, 'expires', now)
  return body.expires ?? null
}

/** The version a change was made against, from `If-Match: "7"` or the body; both must agree. */
function expectedVersion(header: string | undefined, body: number | undefined): number {
  if (header === undefined && body === undefined) {
    throw new Problem('invalid', 'a change needs If-Match or expectedVersion', 'expectedVersion')
  }
  if (header === undefined) return body ?? 0
  const version = /^"(\d{1,15})"$/.exec(header)?.[1]
  if (version === undefined) {
    throw new Problem(
      'invalid',
      `If-Match must be a quoted version such as "7" (got ${quoted(header)})`,
      'if-match',
    )
  }
  if (body !== undefined && body !== Number(version)) {
    throw new Problem('invalid', `If-Match ${version} and expectedVersion ${body} differ`, 'expectedVersion')
  }
  return Number(version)
}
