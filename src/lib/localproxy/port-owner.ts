import {readdir, readFile, readlink} from 'node:fs/promises'

/** State LISTEN in Linux's table of TCP sockets (include/net/tcp_states.h). */
const listenState = '0A'

/** Who listens on a loopback port, for people: `process 4711 (psql …)` or `user id 1000`; undefined where that cannot be told. */
export async function describePortOwner(port: number): Promise<string | undefined> {
  const table = await readFile('/proc/net/tcp', 'utf8').catch(() => '')
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', , state, , , , uid = '', , inode = ''] = line.trim().split(/\s+/)
    if (local.endsWith(wanted) && state === listenState)
      return (await findProcess(inode)) ?? `a process of user id ${uid}`
  }
  return undefined
}

/** The process that holds a socket, as far as we may look into other processes. */
async function findProcess(inode: string): Promise<string | undefined> {
  const processes = await readdir('/proc').catch(() => [])
  for (const pid of processes.filter((name) => /^\d+$/.test(name))) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => [])
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '')
      if (target === `socket:[${inode}]`) {
        const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0').filter(Boolean)
        return `process ${pid} (${words.join(' ')})`
      }
    }
  }
  return undefined
}
