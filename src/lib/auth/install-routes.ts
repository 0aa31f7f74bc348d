import {createReadStream} from 'node:fs'
import {PosternError} from '../core/errors.js'
import type {Address} from '../resources/endpoint.js'
import {archivePath, renderInstallScript} from './install-script.js'
import type {PackageArchives} from './package-archive.js'
import {Answer, publicRoute, type Route} from './route.js'

export interface InstallRouteOptions {
  readonly archives: PackageArchives
  readonly version: string
  readonly publicAddress: Address
}

/** Strangers may download; more at once than this wait for their turn. */
const maximumDownloads = 16

/** The script that installs this program on other hosts, and the program for it. */
export function createInstallRoutes({archives, version, publicAddress}: InstallRouteOptions): Route[] {
  let downloads = 0
  return [
    publicRoute('GET', '/scripts/install.sh', {}, async () => {
      const {sha256} = await archives.get()
      const text = renderInstallScript({version, address: publicAddress, sha256})
      return new Answer(200, {'content-type': 'text/x-shellscript; charset=utf-8', 'cache-control': 'no-store'}, text)
    }),
    publicRoute('GET', archivePath(version), {}, async () => {
      const {path, bytes} = await archives.get()
      if (downloads >= maximumDownloads) {
        throw new PosternError('TOO_MANY_REQUESTS', 'Too many downloads are under way.', {hint: 'Try again later.'})
      }
      downloads++
      const stream = createReadStream(path).once('close', () => downloads--)
      return new Answer(200, {'content-type': 'application/gzip', 'content-length': String(bytes)}, stream)
    }),
  ]
}
