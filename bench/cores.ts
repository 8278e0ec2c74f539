import { execFileSync } from 'node:child_process'

/** The core that the process under measurement has to itself. */
export const MEASURED_CORE = 1
/** The core of everything else. */
export const OTHER_CORE = 0

/** Keeps a process, all of its threads and whatever it starts from now on to a core. Throws where there is no such core. */
export function pin(pid: number, core: number): void {
  execFileSync('taskset', ['-a', '-c', '-p', String(core), String(pid)], { stdio: 'ignore' })
}
