/** Where the program of a gateway is, whether or not it is there. */
export function gatewayPath(name: 'envoy' | 'traefik'): string
