import { realpath, stat } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join, relative, sep } from 'node:path'
import type { Request, Response } from '../server/http.ts'

/**
 * Answers with the file under `directory` that the path names: index.html for a folder, ranges,
 * ETags, MIME types. Returns `false`, and sends nothing, when there is no such file, or it is a
 * dotfile, not a regular file, or outside the directory by any spelling or symbolic link. The
 * method is not checked here.
 */
export async function sendFile(
  request: Request,
  response: Response,
  directory: string,
): Promise<boolean> {
  const [path, query] = splitOnce(request.url ?? '')
  const segments = pathSegments(path)
  if (segments === null) return false
  const root = await realpath(directory)
  const wantsFolder = path.endsWith('/')
  const found = await locate(root, segments)
  if (found === null) return false
  if (found.kind === 'file')
    return wantsFolder ? false : stream(request, response, root, found.path)
  if (wantsFolder) {
    const index = await locate(root, [...segments, 'index.html'])
    return index?.kind === 'file' ? stream(request, response, root, index.path) : false
  }
  response.statusCode = 301
  // Built from the checked segments, so that it cannot become `//elsewhere.example/`.
  const location = `/${segments.map(encodeURIComponent).join('/')}/`
  response.setHeader('Location', query === undefined ? location : `${location}?${query}`)
  response.setHeader('Content-Length', 0)
  response.end()
  return true
}

/**
 * Returns the decoded segments of a URL path; `null` if a segment could mean something else to a
 * file system.
 */
export function pathSegments(path: string): string[] | null {
  if (!path.startsWith('/')) return null
  const raw = path.slice(1).split('/')
  if (raw.at(-1) === '') raw.pop()
  const segments: string[] = []
  for (const part of raw) {
    const segment = decode(part)
    // Refuses dotfiles, `.` and `..`; separators; controls including NUL; drives and streams of
    // Windows.
    if (segment === null || segment === '' || segment.startsWith('.')) return null
    if (/[/\\\p{Cc}]/u.test(segment)) return null
    if (process.platform === 'win32' && /:|[. ]$/.test(segment)) return null
    segments.push(segment)
  }
  return segments
}

interface Found {
  readonly kind: 'file' | 'folder'
  /** The real path below the root, without symbolic links. */
  readonly path: string
}

async function locate(root: string, segments: readonly string[]): Promise<Found | null> {
  try {
    const path = await realpath(join(root, ...segments))
    const inside = relative(root, path)
    const steps = inside === '' ? [] : inside.split(sep)
    // A link may lead to `..`, to another drive, or to a dotfile.
    if (!isWithin(root, path) || steps.some((step) => step.startsWith('.'))) return null
    const status = await stat(path)
    if (status.isFile()) return { kind: 'file', path }
    return status.isDirectory() ? { kind: 'folder', path } : null
  } catch {
    return null
  }
}

function isWithin(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)
}

async function stream(
  request: Request,
  response: Response,
  root: string,
  path: string,
): Promise<true> {
  const { default: send } = await import('send')
  const name = relative(root, path).split(sep).map(encodeURIComponent).join('/')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  // send is written for node:http; the compatible classes of node:http2 have all that it uses.
  const file = send(request, `/${name}`, {
    root,
    index: false,
    dotfiles: 'deny',
  })
  await new Promise<void>((resolve) => {
    response.once('close', resolve)
    file.on('error', (error: SendError) => refuse(response, error))
    file.pipe(response as ServerResponse)
  })
  return true
}

interface SendError extends Error {
  readonly status?: number
  readonly headers?: Record<string, string>
}

function refuse(response: Response, error: SendError): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.statusCode = error.status ?? 500
  for (const [name, value] of Object.entries(error.headers ?? {})) response.setHeader(name, value)
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.end('This file cannot be sent as asked.\n')
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part)
  } catch {
    return null
  }
}

function splitOnce(url: string): [string, string | undefined] {
  const mark = url.indexOf('?')
  return mark === -1 ? [url, undefined] : [url.slice(0, mark), url.slice(mark + 1)]
}
