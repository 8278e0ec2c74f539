// Finds the programs that the whole test suite talks to, and installs what is missing where that is wanted.
import { spawnSync } from 'node:child_process'
import { accessSync, chmodSync, constants, existsSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Programs and the Debian packages that bring them. */
export const SERVICES = [
  { program: 'redis-server', package: 'redis-server' },
  { program: 'redis-cli', package: 'redis-tools' },
  { program: 'haproxy', package: 'haproxy' },
  { program: 'nginx', package: 'nginx' },
  { program: 'caddy', package: 'caddy' },
  { program: 'pip3', package: 'python3-pip' },
  { program: 'chromium', package: 'chromium' },
  { program: 'luajit', package: 'luajit' },
  { program: 'curl', package: 'curl' },
  { program: 'java', package: 'default-jre-headless' },
  { program: 'mvn', package: 'maven' },
]

/** While this file says 101, Debian packages do not start their service when they are installed. */
const POLICY_FILE = '/usr/sbin/policy-rc.d'

/** Whether a program can be started; system folders count although users often lack them in their PATH. */
export function isProgram(name, path = process.env.PATH ?? '') {
  const folders = [...path.split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.some((folder) => {
    if (folder === '') return false
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Whether this run may install: CI=true or CURFEW_INSTALL=1. */
export function mayInstall(env = process.env) {
  return env.CI === 'true' || env.CURFEW_INSTALL === '1'
}

/** Debian packages of programs that are not there. */
export function missingPackages(isThere = isProgram) {
  return SERVICES.filter(({ program }) => !isThere(program)).map((service) => service.package)
}

/** The one command that installs packages by hand. */
export function installCommand(packages) {
  return `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`
}

function asRoot(args) {
  const isRoot = process.getuid?.() === 0
  const [command, ...rest] = isRoot ? args : ['sudo', '-n', '--preserve-env=DEBIAN_FRONTEND', ...args]
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  return spawnSync(command, rest, { env, encoding: 'utf8' })
}

function aptGet(...args) {
  const { status, error, stdout, stderr } = asRoot(['apt-get', '-qq', ...args])
  if (status === 0) return true
  const said = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-5).join('\n')
  process.stderr.write(`apt-get ${args[0]} failed${error ? ` (${error.message})` : ''}:\n${said}\n`)
  return false
}

/** Tests start private instances; installing must not leave system services running on the usual ports. */
function withoutServiceStarts(install) {
  const isOurs = process.getuid?.() === 0 && !existsSync(POLICY_FILE)
  if (isOurs) {
    writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n')
    chmodSync(POLICY_FILE, 0o755)
  }
  try {
    return install()
  } finally {
    if (isOurs) rmSync(POLICY_FILE, { force: true })
  }
}

async function installKafka() {
  const script = new URL('./kafka-artifacts.mjs', import.meta.url)
  if (!existsSync(script)) return
  try {
    const { kafkaClasspath } = await import(script.href)
    await kafkaClasspath()
  } catch (error) {
    process.stderr.write(`Kafka cannot be fetched: ${error instanceof Error ? error.message : error}\n`)
  }
}

async function installGateways() {
  const script = new URL('./gateway-binaries.mjs', import.meta.url)
  if (!existsSync(script)) return
  const { GATEWAY_BINARIES, gatewayProgram } = await import(script.href)
  for (const name of Object.keys(GATEWAY_BINARIES)) {
    try {
      await gatewayProgram(name)
    } catch (error) {
      const offline = isOffline(error)
      // Read by the test of the gateways: only where nothing can be fetched may it leave one out.
      if (offline) process.env.CURFEW_GATEWAYS_OFFLINE = '1'
      const then = offline ? 'there is no network, so its test is left out' : 'its test is skipped'
      process.stderr.write(
        `\n${name} cannot be fetched, ${then}: ${error instanceof Error ? error.message : error}\n\n`,
      )
    }
  }
}

/** Whether pip failed because the package index could not be connected to, and for no other reason. */
export function isOffline(error) {
  const said = String(error?.stderr ?? '')
  return /NewConnectionError|NameResolutionError|ConnectTimeoutError|Network is unreachable/.test(said)
}

/**
 * Installs what is missing where that is wanted, else says what would. Never throws: a test whose service
 * is missing skips, and with CI=true a skip is a failure.
 */
export async function prepareServices() {
  const missing = missingPackages()
  if (!mayInstall()) {
    if (missing.length > 0) {
      process.stderr.write(
        `\nNot installed: ${missing.join(', ')}. Tests that need them are skipped. To run everything:\n  ${installCommand(missing)}\n\n`,
      )
    }
    return
  }
  if (missing.length > 0) {
    process.stderr.write(`Installing ${missing.join(', ')}\n`)
    if (!isProgram('apt-get')) process.stderr.write('There is no apt-get here: install them by other means\n')
    else if (aptGet('update')) {
      withoutServiceStarts(() => aptGet('install', '-y', '--no-install-recommends', ...missing))
    }
  }
  await installKafka()
  await installGateways()
}

// The path may lead through a link; a module that is imported must not run.
const isEntry = realpathSync(process.argv[1] ?? '.') === fileURLToPath(import.meta.url)
if (isEntry) await prepareServices()
