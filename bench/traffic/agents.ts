import { DAY, START } from './calendar.ts'

const CHROME = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome'

/** Kinds of client, each with its successive versions. */
const CLASSES: Readonly<Record<string, readonly string[]>> = {
  chromeWindows: ['141', '142', '143'].map(
    (v) => `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME}/${v}.0.0.0 Safari/537.36`,
  ),
  chromeMac: ['141', '142', '143'].map(
    (v) => `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${CHROME}/${v}.0.0.0 Safari/537.36`,
  ),
  firefox: ['143', '144', '145'].map(
    (v) => `Mozilla/5.0 (X11; Linux x86_64; rv:${v}.0) Gecko/20100101 Firefox/${v}.0`,
  ),
  safari: ['18.6', '19.0', '19.1'].map(
    (v) =>
      `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/${v} Safari/605.1.15`,
  ),
  ios: ['4.2.0', '4.2.1', '4.3.0'].map((v) => `acme-ios/${v} (iPhone; iOS 19.1; Scale/3.00)`),
  android: ['4.2.0', '4.2.2', '4.3.0'].map((v) => `acme-android/${v} (Android 16; Pixel 9)`),
  python: ['2.32.3', '2.32.4', '2.32.5'].map((v) => `python-requests/${v}`),
  java: ['17.0.12', '21.0.4', '21.0.5'].map((v) => `Apache-HttpClient/5.4 (Java/${v})`),
  go: ['1.8.0', '1.9.2', '1.9.3'].map((v) => `acme-sdk-go/${v}`),
  node: ['20.17.0', '22.9.0', '22.10.0'].map((v) => `acme-sdk-node/3.1 node/${v}`),
  curl: ['8.9.1', '8.10.0', '8.10.1'].map((v) => `curl/${v}`),
  ci: ['2.319.1', '2.320.0', '2.321.0'].map((v) => `actions-runner/${v} (linux; x64)`),
  monitor: ['3.7', '3.8', '3.8.1'].map((v) => `uptime-probe/${v}`),
}
export const AGENTS: readonly string[] = Object.values(CLASSES).flat()
const NAMES = Object.keys(CLASSES)
const VERSIONS = 3

export const BROWSERS = ['chromeWindows', 'chromeMac', 'firefox', 'safari'] as const
export const APPS = ['ios', 'android'] as const
export const SDKS = ['python', 'java', 'go', 'node', 'curl'] as const

/** First agent of a class in {@link AGENTS}; its later versions follow it. */
export function agentClass(name: string): number {
  return NAMES.indexOf(name) * VERSIONS
}

/** Days of the log on which the two newer versions of every browser and app come out. */
const RELEASES = [8, 18.4]

/** The version in use when a client follows releases by so many days; Infinity for one that never updates. */
export function agentAt(base: number, delayDays: number, time: number): number {
  const days = (time - START) / DAY - delayDays
  return base + (days >= RELEASES[1]! ? 2 : days >= RELEASES[0]! ? 1 : 0)
}
