import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

export const DOCS_PREFIX = '/docs'

/** The page on the document. Everything it needs comes from this server, and its policy allows nothing else. */
export async function registerDocs(
  fastify: FastifyInstance,
  document: Readonly<Record<string, unknown>>,
): Promise<void> {
  await fastify.register(swagger, { mode: 'static', specification: { document: document as never } })
  await fastify.register(swaggerUi, {
    routePrefix: DOCS_PREFIX,
    staticCSP: true,
    transformStaticCSP: (policy) => `${policy}; frame-ancestors 'none'; form-action 'none'`,
    uiConfig: { deepLinking: true, docExpansion: 'list', tryItOutEnabled: false },
  })
}
