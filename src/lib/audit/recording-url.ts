/** The name of a recording in events, good on any host: `postern://postern.example.com/recordings/<session id>`. */
export interface RecordingUrl {
  readonly cluster: string
  readonly sid: string
}

const pattern = /^postern:\/\/([^/]+)\/recordings\/([^/]+)$/

export function formatRecordingUrl({cluster, sid}: RecordingUrl): string {
  return `postern://${cluster}/recordings/${sid}`
}

/** Undefined for a text that is no such name. */
export function parseRecordingUrl(text: string): RecordingUrl | undefined {
  const [, cluster, sid] = pattern.exec(text) ?? []
  return cluster === undefined || sid === undefined ? undefined : {cluster, sid}
}
