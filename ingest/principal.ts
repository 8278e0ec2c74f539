/** How a source's callers are named. */
export interface PrincipalRule {
  /** Order in which identities are tried; the first that the gateway verified wins. */
  readonly order: readonly ('consumer' | 'sub' | 'app' | 'key' | 'account')[]
  /** Issuer URL to short alias; with two or more entries a subject is named `sub:<alias>/<sub>`. */
  readonly issuers: ReadonlyMap<string, string>
}
