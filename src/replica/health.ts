import type { Request, Response } from '../server/http.ts'

/** What load balancers and monitors ask. */
export interface Health {
  /** Answers `/healthz` and `/readyz`; `false`: the request is for something else. */
  handler(request: Request, response: Response): Promise<boolean>
  /** From now on the server is not ready, so that a balancer sends its clients elsewhere. */
  drain(): void
}

/** Milliseconds in which the database has to answer. */
const patience = 2_000

/**
 * `/healthz` says that this process answers, and `/readyz` also that it can serve: `ask` resolves once the
 * database has answered. Neither says anything to a stranger that the status does not.
 */
export function createHealth(ask: () => Promise<unknown>): Health {
  let isDraining = false
  // Requests at the same time share one question to the database.
  let asked: Promise<boolean> | null = null
  const isReady = async (): Promise<boolean> => {
    if (isDraining) return false
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => (timer = setTimeout(resolve, patience, false)))
    asked ??= ask()
      .then(
        () => true,
        () => false,
      )
      .finally(() => (asked = null))
    const answered = asked
    return Promise.race([answered, late]).finally(() => clearTimeout(timer))
  }
  const send = (request: Request, response: Response, good: boolean): void => {
    const text = good ? 'ok\n' : 'not ready\n'
    response.statusCode = good ? 200 : 503
    response.setHeader('Content-Type', 'text/plain')
    response.setHeader('Cache-Control', 'no-store')
    if (request.method === 'HEAD') response.end()
    else response.end(text)
  }
  return {
    async handler(request, response) {
      if (request.method !== 'GET' && request.method !== 'HEAD') return false
      if (request.url === '/healthz') send(request, response, true)
      else if (request.url === '/readyz') send(request, response, await isReady())
      else return false
      return true
    },
    drain: () => (isDraining = true),
  }
}
