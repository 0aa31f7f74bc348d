interface Stream {
  readonly isTTY?: boolean
}

/** Whether there is somebody to ask. Prompts go to standard error, so that the output stays the command's data. */
export function isInteractive(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY
}

/** Colour is for people at terminals who did not turn it off (no-color.org). */
export function useColour(stream: Stream, variables: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && !variables.NO_COLOR && variables.TERM !== 'dumb'
}

/** Fires when the process is asked to end, by Ctrl-C, by SIGTERM, or because its terminal has gone. */
export function askedToEnd(): AbortSignal {
  const asked = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      asked.abort()
    })
  }
  return asked.signal
}
