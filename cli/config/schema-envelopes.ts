import { Type } from '@sinclair/typebox'
import { count, oneOf, section } from './schema-parts.ts'

/** What callers may do at most, ahead of any incident. */
export const envelopesSection = section(
  {
    mode: oneOf(['off', 'observe', 'enforce'], {
      default: 'off',
      description:
        'Limits of each caller well above all that it usually does, held at gateways ahead of any incident (`enforce`), or only compared with what happens (`observe`).',
    }),
    headroom: Type.Number({
      default: 4,
      minimum: 2,
      maximum: 100,
      unit: 'times',
      description: 'How far the limits lie above what 99.9 % of the windows of a caller hold.',
    }),
    growthPerDay: Type.Number({
      default: 1.5,
      minimum: 1.01,
      maximum: 10,
      unit: 'times per day',
      description: 'The limits of a caller grow by no more than this.',
    }),
    changeFactor: Type.Number({
      default: 1.25,
      minimum: 1.01,
      maximum: 10,
      unit: 'times',
      description: 'A limit that moved by less than this is left as it is, so that no call is made for it.',
    }),
    holdSeconds: count({
      default: 21_600,
      minimum: 120,
      maximum: 604_800,
      unit: 'seconds',
      description: 'An envelope that is not renewed falls away after this time.',
    }),
    everySeconds: count({
      default: 60,
      minimum: 1,
      maximum: 3_600,
      unit: 'seconds',
      description: 'Time between two looks at all profiles.',
    }),
    pushesPerSecond: Type.Number({
      default: 10,
      minimum: 0.1,
      maximum: 1_000,
      unit: 'calls per second',
      description: 'Most envelopes put at one gateway in a second.',
    }),
    maxCallers: count({
      default: 10_000,
      minimum: 1,
      maximum: 200_000,
      unit: 'callers',
      description: 'Callers that have an envelope at the most; a gateway must have room for as many.',
    }),
  },
  { default: {}, description: 'Standing limits of callers, made of their profiles.' },
)
