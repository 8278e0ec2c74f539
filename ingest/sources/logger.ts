/** Where library code says what an operator should know; pino fits. Never given secrets or raw log lines. */
export interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Says nothing. */
export const SILENT: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined }
