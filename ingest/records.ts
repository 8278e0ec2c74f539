/** Where the number of records in a response is read from, tried in the order of the members. */
export interface RecordsRule {
  /** Response headers in lower case, for example `x-records-returned`. */
  readonly headers: readonly string[]
  /** Use `Content-Range: items 0-24/319` (25 records; RFC 9110 section 14.4 form with another unit than bytes). */
  readonly contentRange: boolean
  /** Dotted path of a field in the log object, or null. */
  readonly field: string | null
  /** Bytes that one record takes when nothing else says; null switches the estimate off. */
  readonly bytesPerRecord: number | null
}
