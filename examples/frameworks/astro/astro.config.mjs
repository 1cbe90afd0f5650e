import { defineConfig } from 'astro/config'
import rootling from 'rootling/vite'

export default defineConfig({
  vite: { plugins: [rootling()] },
})
