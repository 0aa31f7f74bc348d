import {z} from 'zod'
import {PosternError} from '../core/errors.js'
import type {Accounts} from './accounts.js'
import {passwordForm, passwordSetPage, problemPage} from './invite-page.js'
import {publicRoute, type Answer, type Call, type Route} from './route.js'

export interface InviteRouteOptions {
  readonly accounts: Accounts
  readonly cluster: string
  /** Where to log in afterwards, `host:port`. */
  readonly proxy: string
}

const form = z.object({password: z.string().max(1024), repeated: z.string().max(1024)})
const purposes = ['invite', 'reset'] as const

/** The pages behind invite and reset links. */
export function createInviteRoutes({accounts, cluster, proxy}: InviteRouteOptions): Route[] {
  const show = async (call: Call, problem?: string): Promise<Answer> => {
    const {user, purpose} = await accounts.findLink(call.parameters.token ?? '')
    return passwordForm({user, cluster, purpose, ...(problem === undefined ? {} : {problem})})
  }
  const set = async (call: Call<z.infer<typeof form>>): Promise<Answer> => {
    const {password, repeated} = call.body
    if (password !== repeated) return show(call, 'The two passwords are not the same.')
    try {
      const {user} = await accounts.setPassword(call.parameters.token ?? '', password)
      return passwordSetPage(user, proxy)
    } catch (error) {
      if (error instanceof PosternError && error.code === 'INVALID') return show(call, error.message)
      throw error
    }
  }
  return purposes.flatMap((purpose) => [
    publicRoute('GET', `/web/${purpose}/:token`, {}, (call) => asPage(() => show(call))),
    publicRoute('POST', `/web/${purpose}/:token`, {body: form}, (call) => asPage(() => set(call))),
  ])
}

/** People get a page, also when it fails. */
async function asPage(make: () => Promise<Answer>): Promise<Answer> {
  try {
    return await make()
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    return problemPage(error.httpStatus, error.message, error.hints)
  }
}
