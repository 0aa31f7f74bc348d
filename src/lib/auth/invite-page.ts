import {createHash} from 'node:crypto'
import {minimumPasswordLength} from './passwords.js'
import {Answer} from './route.js'

/** Pages for setting a password: HTML that needs no script, and lets no other run. */

const style = `
body { font: 16px/1.5 system-ui, sans-serif; margin: 4rem auto; max-width: 26rem; padding: 0 1rem; color: #1a1a1a; background: #fafafa }
h1 { font-size: 1.4rem }
label { display: block; margin-top: 1rem }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; border: 1px solid #888; border-radius: 4px }
button { font: inherit; margin-top: 1.5rem; padding: .5rem 1.5rem; border: 0; border-radius: 4px; background: #1a4fd6; color: #fff }
code { display: block; padding: .6rem; background: #eee; border-radius: 4px; overflow-wrap: anywhere }
.problem { padding: .6rem; background: #fde8e8; border-radius: 4px }
`
const styleHash = createHash('sha256').update(style).digest('base64')

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${styleHash}'`,
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; '),
  // The address is a secret until it is used.
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

export interface PasswordForm {
  readonly user: string
  readonly cluster: string
  readonly purpose: 'invite' | 'reset'
  /** Why the last try did not work. */
  readonly problem?: string
}

/** The form; it posts to its own address. */
export function passwordForm({user, cluster, purpose, problem}: PasswordForm): Answer {
  const title = purpose === 'invite' ? 'Welcome to' : 'New password for'
  return page(
    problem === undefined ? 200 : 400,
    `${title} ${cluster}`,
    `<p>Choose the password of <strong>${escapeHtml(user)}</strong>, at least ${minimumPasswordLength} characters.</p>
${problem === undefined ? '' : `<p class="problem" role="alert">${escapeHtml(problem)}</p>`}
<form method="post">
<input type="hidden" name="username" value="${escapeHtml(user)}" autocomplete="username">
<label>Password <input type="password" name="password" required minlength="${minimumPasswordLength}" maxlength="1024" autocomplete="new-password" autofocus></label>
<label>The same again <input type="password" name="repeated" required maxlength="1024" autocomplete="new-password"></label>
<button>Set password</button>
</form>`,
  )
}

/** After the password was set. `proxy` is where to log in, `host:port`. */
export function passwordSetPage(user: string, proxy: string): Answer {
  return page(
    200,
    'The password is set',
    `<p>You can log in now, in a terminal:</p>
<code>postern login --proxy=${escapeHtml(proxy)} --user=${escapeHtml(user)}</code>`,
  )
}

/** For a link that does not work, or no longer. */
export function problemPage(status: number, message: string, hints: readonly string[]): Answer {
  return page(
    status,
    'This did not work',
    [message, ...hints].map((sentence) => `<p>${escapeHtml(sentence)}</p>`).join('\n'),
  )
}

function page(status: number, title: string, body: string): Answer {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${body}
</body>
</html>
`
  return new Answer(status, headers, html)
}

const entities: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'}

/** For text and for attributes in double quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character)
}
