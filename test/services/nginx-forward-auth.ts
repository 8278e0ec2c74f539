import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'

const NGINX = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx'].find((path) => existsSync(path))

/** Whether NGINX with `auth_request` (in every distribution's package) can be started here. */
export const nginxInstalled = NGINX !== undefined

/** A real NGINX on loopback that asks the decision endpoint for each call. */
export interface ForwardAuthGateway {
  readonly url: string
  stop(): Promise<void>
}

/**
 * `auth_request` turns every answer but 2xx, 401 and 403 into 500. The `error_page` tells a throttle from
 * an endpoint that cannot answer by the sub-request's own status.
 */
function configuration(dir: string, port: number, upstream: number, decidePort: number): string {
  return `daemon off; master_process off; pid ${dir}/nginx.pid; error_log ${dir}/error.log warn;
events { worker_connections 128; }
http {
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi; access_log off;
  upstream decide { server 127.0.0.1:${decidePort}; keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / {
      auth_request /_decide;
      auth_request_set $decision_code $upstream_status;
      auth_request_set $decision $upstream_http_x_curfew_decision;
      auth_request_set $subject $upstream_http_x_curfew_subject;
      auth_request_set $retry $upstream_http_retry_after;
      error_page 500 = @undecided;
      add_header X-Curfew-Decision $decision always;
      add_header X-Seen-Subject $subject always;
      proxy_pass http://127.0.0.1:${upstream};
    }
    location = /_decide {
      internal;
      proxy_pass http://decide/decide; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_connect_timeout 500ms; proxy_read_timeout 2s;
    }
    location @undecided {
      if ($decision_code != 429) { return 503; }
      add_header X-Curfew-Decision $decision always;
      add_header Retry-After $retry always;
      return 429;
    }
  }
  server { listen 127.0.0.1:${upstream}; location / { return 200 'orders'; } }
}
`
}

async function reachable(url: string, process: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (process.exitCode !== null) throw new Error(`nginx ended with ${process.exitCode}`)
    try {
      await fetch(url)
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
  throw new Error(`nginx did not listen on ${url}`)
}

/** Starts NGINX in front of a small upstream; `decidePort` is the decision endpoint's. */
export async function startForwardAuthGateway(decidePort: number): Promise<ForwardAuthGateway> {
  if (NGINX === undefined) throw new Error('nginx is not installed: apt-get install nginx-light')
  const dir = await mkdtemp(join(tmpdir(), 'curfew-nginx-'))
  await mkdir(join(dir, 'logs'))
  const [port, upstream] = [await freePort(), await freePort()]
  await writeFile(join(dir, 'nginx.conf'), configuration(dir, port, upstream, decidePort))
  const nginx = spawn(NGINX, ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')], {
    stdio: 'ignore',
  })
  const ended = new Promise<void>((resolve) => nginx.once('exit', () => resolve()))
  const stop = async (): Promise<void> => {
    nginx.kill('SIGTERM')
    await ended
    await rm(dir, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  await reachable(url, nginx).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return { url, stop }
}
