/** What a person is told about a format, and how its lines are recognised. */
export interface FormatAbout {
  readonly gateway: string
  /** Page that says what to configure; null where the gateway's log is taken as it is. */
  readonly page: string | null
  /** Dotted paths that every line of the format states; null for a format that is no JSON. */
  readonly signature: readonly string[] | null
}

const about = (gateway: string, page: string | null, ...signature: string[]): FormatAbout => ({
  gateway,
  page: page === null ? null : `docs/gateways/${page}.md`,
  signature,
})

/** By the name of the format. */
export const ABOUT: Readonly<Record<string, FormatAbout>> = {
  kong: about('Kong Gateway', null, 'started_at', 'request', 'latencies'),
  apigee: about('Apigee (also Cloud Logging)', 'apigee', 'client_received_start_ms', 'client_ip'),
  'aws-rest': about('AWS API Gateway, REST', 'aws', 'requestTimeEpoch', 'httpMethod', 'resourcePath'),
  'aws-http': about('AWS API Gateway, HTTP', 'aws', 'requestTimeEpoch', 'httpMethod', 'routeKey'),
  nginx: about('NGINX, JSON', 'nginx', 'ts', 'client_ip', 'request_time_s'),
  haproxy: about('HAProxy, JSON', 'haproxy', 'ts_ms', 'client_ip', 'termination'),
  envoy: about('Envoy, Istio', 'envoy', 'start_time', 'response_code', 'duration'),
  apisix: about('Apache APISIX', 'apisix', 'start_time', 'request.uri', 'response.status', 'route_id'),
  tyk: about('Tyk, by tyk-pump', 'tyk', 'timestamp', 'api_id', 'response_code'),
  caddy: about('Caddy', 'caddy', 'ts', 'request.uri', 'duration', 'status'),
  traefik: about('Traefik', 'traefik', 'StartUTC', 'RequestMethod', 'DownstreamStatus'),
  combined: { ...about('NGINX, Apache, combined', 'combined'), signature: null },
  cloudtrail: about('AWS CloudTrail', 'cloudtrail', 'eventTime', 'eventSource', 'eventName', 'userIdentity'),
  ocsf: about('OCSF API Activity', 'ocsf', 'class_uid', 'time'),
  canonical: about('your own producer', 'README', 'time', 'principal'),
}
