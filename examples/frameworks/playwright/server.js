import { createServer } from 'node:https'
import { certificateFor } from 'rootling'

const { key, cert } = await certificateFor(['localhost', '127.0.0.1', '::1'])
createServer({ key, cert }, (_request, response) => {
  response.setHeader('content-type', 'text/html').end('<h1 id="greeting">Hello</h1>')
}).listen(Number(process.env.PORT ?? 8443), 'localhost')
