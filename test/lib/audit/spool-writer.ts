/** A process that audits a session until it is killed: `node spool-writer.js DIRECTORY`. Says on stdout what it has spooled. */
import {SessionAudit} from '../../../src/lib/audit/session-audit.js'
import {Spool} from '../../../src/lib/audit/spool.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {record, sessionFacts} from './facts.js'

const directory = process.argv[2] ?? ''
const spool = await Spool.open({directory, clock: systemClock, logger: silentLogger, segmentBytes: 20_000})
const finished = new SessionAudit(spool, systemClock, sessionFacts({sid: 'a0000000-0000-4000-8000-000000000000'}))
finished.started({pid: 1})
await finished.ended({reason: 'done', bytesFromClient: 1, bytesFromServer: 2})
const audit = new SessionAudit(spool, systemClock, sessionFacts())
audit.started({pid: 42})
for (let number = 0; ; number += 1) {
  record(audit, `select ${number}`)
  audit.flush()
  process.stdout.write(`${number}\n`)
  if (number % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
}
