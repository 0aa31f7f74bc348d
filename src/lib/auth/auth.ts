/** The Auth Service: the control plane's authorities, resources, audit log and web endpoint behind one listener. */
import {join} from 'node:path'
import {messageOf, PosternError} from '../core/errors.js'
import {isClusterName} from '../resources/route.js'
import type {Backend} from '../storage/backend.js'
import {openSqlite} from '../storage/sqlite.js'
import {writeAdminIdentity} from './admin-identity.js'
import {createHttpApp} from './http-app.js'
import {Listener} from './listener.js'
import type {Auth, AuthCounters, AuthOptions} from './options.js'
import {issueOwnCertificates} from './own-certificates.js'
import {openServices} from './services.js'
import {WebCertificates} from './web-certificates.js'

/** Our own certificates live 90 days; a new one a day is cheap and needs no look at the calendar. */
const renewalInterval = 24 * 3_600_000
const adminIdentityFile = 'admin-identity.pem'

/**
 * Starts the control plane on its data directory.
 * @throws PosternError CONFLICT when another process has the directory, INVALID when something in the options is wrong
 */
export async function startAuth(options: AuthOptions): Promise<Auth> {
  if (!isClusterName(options.cluster)) {
    throw new PosternError('INVALID', `"${options.cluster}" cannot be the name of a cluster.`, {
      hint: 'Take a name like postern.example.com: lower-case letters, digits, hyphens and dots.',
    })
  }
  const backend = await openSqlite({path: join(options.dataDir, 'backend.sqlite'), clock: options.clock})
  try {
    return await serve(options, backend)
  } catch (error) {
    await backend.close()
    throw error
  }
}

async function serve(options: AuthOptions, backend: Backend): Promise<Auth> {
  const {cluster, clock, logger} = options
  const counters: AuthCounters = {requests: 0, refused: 0, logins: 0, failedLogins: 0, joins: 0, failedJoins: 0}
  const {stores, authorities, issuer, verifier, joining, watches, retention, routes} = await openServices(
    options,
    backend,
    counters,
  )
  const own = await issueOwnCertificates(issuer, options)
  const webCertificates = new WebCertificates(options.httpsKeypairs, own.web)
  const app = await createHttpApp({
    routes,
    verifier,
    client: (socket) => listener.clientOf(socket),
    logger,
    counters,
  })
  const listener = await Listener.open({
    listen: options.listen,
    cluster,
    apiCredentials: own.api,
    clientAuthorities: [...authorities.trusted('user'), ...authorities.trusted('host')],
    webCertificates,
    serve: (socket) => {
      app.accept(socket)
    },
    logger,
  })

  const adminIdentity = join(options.dataDir, adminIdentityFile)
  const renewAdminIdentity = (): Promise<void> =>
    writeAdminIdentity({file: adminIdentity, stores, authorities, issuer, now: clock.now()})
  await renewAdminIdentity()
  const renewing = setInterval(() => {
    const renew = async (): Promise<void> => {
      const {api, web} = await issueOwnCertificates(issuer, options)
      webCertificates.renew(web)
      listener.renew(api)
      await renewAdminIdentity()
    }
    renew().catch((error: unknown) => {
      logger.error('The certificates of the Auth Service could not be renewed.', {reason: messageOf(error)})
    })
  }, renewalInterval)
  renewing.unref()
  retention.start()

  return {
    address: listener.address,
    cluster,
    adminIdentity,
    counters,
    caPins: () => authorities.pins(),
    issueInternalToken: (role) => joining.issueInternalToken(role),
    accept: (socket, head) => {
      listener.accept(socket, head)
    },
    close: async () => {
      clearInterval(renewing)
      watches.close()
      await listener.close()
      await app.close()
      await retention.close()
      await backend.close()
    },
  }
}
