/** The configuration of a host that runs nothing but an agent, as far as its databases: those follow, two spaces deep. */
export const agentFileHead = `version: v3
postern: {proxy_server: "postern.example.com:443", auth_token: x}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  enabled: yes
`
