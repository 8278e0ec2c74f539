import { Type } from '@sinclair/typebox'
import { kebabName, section, words } from './schema-parts.ts'

const member = section(
  {
    principal: Type.String({
      pattern: '^(consumer|sub|app|key|account):[^\\u0000-\\u001f\\u007f]{1,256}$',
      patternMeans:
        'a name of the kinds consumer, sub, app, key or account, such as `consumer:orders`; addresses are nobody’s name',
      maxLength: 265,
      description:
        'One name of the caller. Of a subject what the token says in `sub`, without an alias of its issuer.',
    }),
    id: Type.Optional(
      words({
        description:
          'Stable id, where it is not the name: of a Kong consumer its `id`, of an app of Apigee `["<developer>","<app>"]`. The page of a principal shows it.',
      }),
    ),
    issuer: Type.Optional(words({ description: 'Issuer (`iss`) of a subject. Only for `sub:`.' })),
    gateway: Type.Optional(
      kebabName(
        'Gateway of `enforcement.gateways` that knows the caller by this name; whichever does when not given. Where its `onlyFor` says what it sees, the name counts only in evidence from there.',
      ),
    ),
  },
  {
    description:
      'One name. At a gateway that an entry names exactly the names given for it are held, and those given for none.',
  },
)

const alias = section(
  {
    name: kebabName('Name of the caller, unique.'),
    tenant: words({ default: 'default', description: 'Tenant of all the names.' }),
    members: Type.Array(member, {
      minItems: 2,
      maxItems: 16,
      description: 'Its names: two at least.',
    }),
  },
  {
    description:
      'One caller that gateways know by several names. What is decided about one verified name is held under all; each is judged by its own calls.',
  },
)

/** What is said about callers as such. */
export const principalsSchema = section(
  {
    aliases: Type.Array(alias, {
      default: [],
      maxItems: 10_000,
      description: 'Callers with several names.',
    }),
  },
  { default: {}, description: 'What is known about callers beforehand.' },
)
