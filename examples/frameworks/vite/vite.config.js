import rootling from 'rootling/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [rootling()],
})
