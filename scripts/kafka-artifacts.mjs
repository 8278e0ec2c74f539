/**
 * Keeps the jars of an Apache Kafka server in a cache outside the repository, fetched once from Maven
 * Central with the system's own `mvn`. Run directly it prints the Java class path.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

export const KAFKA_VERSION = '4.1.1'
const LOG4J_VERSION = '2.24.3'
const DOWNLOAD_TIMEOUT_MS = 600_000

/** The server, the command line tools, and the logging back end that the server's POM leaves out. */
const dependencies = [
  ['org.apache.kafka', 'kafka_2.13', KAFKA_VERSION],
  ['org.apache.kafka', 'kafka-tools', KAFKA_VERSION],
  ['org.apache.logging.log4j', 'log4j-core', LOG4J_VERSION],
  ['org.apache.logging.log4j', 'log4j-slf4j-impl', LOG4J_VERSION],
  ['org.apache.logging.log4j', 'log4j-1.2-api', LOG4J_VERSION],
]

function pom() {
  const entries = dependencies.map(
    ([group, artifact, version]) =>
      `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`,
  )
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>curfew</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${entries.join('\n')}</dependencies>
</project>
`
}

/** The folder of the jars, whether or not it is filled. */
export function kafkaFolder() {
  const cache = process.env.CURFEW_CACHE || join(homedir(), '.cache', 'curfew')
  return join(cache, `kafka-${KAFKA_VERSION}`)
}

async function isFilled(folder) {
  const names = await readdir(join(folder, 'libs')).catch(() => [])
  return ['kafka_2.13', 'kafka-tools'].every((name) => names.includes(`${name}-${KAFKA_VERSION}.jar`))
}

/** Fetches the jars if they are absent. Two processes may do so at once: the first rename wins. */
export async function kafkaClasspath() {
  const folder = kafkaFolder()
  if (!(await isFilled(folder))) {
    await mkdir(dirname(folder), { recursive: true })
    const partial = await mkdtemp(`${folder}.partial-`)
    try {
      await writeFile(join(partial, 'pom.xml'), pom())
      const args = [
        '-B',
        '-q',
        '-f',
        join(partial, 'pom.xml'),
        'dependency:copy-dependencies',
        '-DincludeScope=runtime',
        `-DoutputDirectory=${join(partial, 'libs')}`,
      ]
      await promisify(execFile)('mvn', args, { timeout: DOWNLOAD_TIMEOUT_MS, maxBuffer: 16_777_216 })
      await rename(partial, folder).catch(async (error) => {
        if (!(await isFilled(folder))) throw error
      })
    } finally {
      await rm(partial, { recursive: true, force: true })
    }
  }
  return join(folder, 'libs', '*')
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(`${await kafkaClasspath()}\n`)
}
