{{/* Settings that are no secrets, for a ConfigMap. */}}
{{- define "meterhouse.settings" -}}
METERHOUSE_HOST: 0.0.0.0
METERHOUSE_PORT: "8080"
METERHOUSE_KAFKA: {{ .Values.kafka.bootstrap | quote }}
METERHOUSE_KAFKA_TOPIC: {{ .Values.kafka.topic | quote }}
METERHOUSE_KAFKA_GROUP: {{ .Values.kafka.group | quote }}
METERHOUSE_KAFKA_SECURITY_PROTOCOL: {{ .Values.kafka.securityProtocol }}
{{- if contains "SASL" .Values.kafka.securityProtocol }}
METERHOUSE_KAFKA_SASL_MECHANISM: {{ .Values.kafka.sasl.mechanism }}
{{- end }}
{{- if .Values.kafka.tls.caSecretName }}
METERHOUSE_KAFKA_SSL_CAFILE: /etc/meterhouse/kafka-ca/ca.crt
{{- end }}
{{- if .Values.kafka.tls.certSecretName }}
METERHOUSE_KAFKA_SSL_CERTFILE: /etc/meterhouse/kafka-cert/tls.crt
METERHOUSE_KAFKA_SSL_KEYFILE: /etc/meterhouse/kafka-cert/tls.key
{{- end }}
METERHOUSE_CLICKHOUSE_URL: {{ printf "%s%s" .Values.clickhouse.url (ternary "?ca_cert=/etc/meterhouse/clickhouse-ca/ca.crt" "" (ne .Values.clickhouse.caSecretName "")) | quote }}
{{- if .Values.clickhouse.cluster }}
METERHOUSE_CLICKHOUSE_CLUSTER: {{ .Values.clickhouse.cluster | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* Secrets by reference; only what the component needs. Takes (list context component). */}}
{{- define "meterhouse.secrets" -}}
{{- $ := index . 0 -}}
- name: METERHOUSE_CATALOG_URL
  valueFrom:
    secretKeyRef: {name: {{ $.Values.catalog.secretName }}, key: {{ $.Values.catalog.urlKey }}}
{{- with $.Values.kafka.sasl }}
{{- if contains "SASL" $.Values.kafka.securityProtocol }}
- name: METERHOUSE_KAFKA_SASL_USERNAME
  valueFrom:
    secretKeyRef: {name: {{ required "kafka.sasl.secretName is needed for SASL" .secretName }}, key: {{ .usernameKey }}}
- name: METERHOUSE_KAFKA_SASL_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .secretName }}, key: {{ .passwordKey }}}
{{- end }}
{{- end }}
{{- range $name, $place := $.Values.secretSettings }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $place.name }}, key: {{ $place.key }}}
{{- end }}
{{- if ne (index . 1) "ingest" }}
{{- with $.Values.clickhouse }}
{{- if .secretName }}
- name: METERHOUSE_CLICKHOUSE_USER
  valueFrom:
    secretKeyRef: {name: {{ .secretName }}, key: {{ .userKey }}}
- name: METERHOUSE_CLICKHOUSE_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ .secretName }}, key: {{ .passwordKey }}}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Certificates as (secret, what to mount of it) by the name of their folder. Takes (list context component). */}}
{{- define "meterhouse.certificates" -}}
{{- $ := index . 0 -}}
{{- with $.Values.kafka.tls.caSecretName }}
kafka-ca: {secretName: {{ . }}, items: [{key: {{ $.Values.kafka.tls.caKey }}, path: ca.crt}]}
{{- end }}
{{- with $.Values.kafka.tls.certSecretName }}
kafka-cert: {secretName: {{ . }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
{{- end }}
{{- with $.Values.catalog.caSecretName }}
catalog-ca: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if ne (index . 1) "ingest" }}
{{- with $.Values.clickhouse.caSecretName }}
clickhouse-ca: {secretName: {{ . }}, items: [{key: {{ $.Values.clickhouse.caKey }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- end -}}

{{/* What every pod has: no rights, no token, no environment from the Services around it. */}}
{{- define "meterhouse.pod" -}}
{{- $ := index . 0 -}}
automountServiceAccountToken: false
# Kubernetes would otherwise set variables such as METERHOUSE_PORT for a Service named meterhouse.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with $.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 256Mi}
{{- range $name, $secret := include "meterhouse.certificates" . | fromYaml }}
  - name: {{ $name }}
    secret: {{- mustMerge (dict "defaultMode" 288) $secret | toYaml | nindent 6 }} {{/* 0440 */}}
{{- end }}
{{- end -}}

{{/* What every container has. Takes (list context component name-of-the-ConfigMap). */}}
{{- define "meterhouse.container" -}}
{{- $ := index . 0 -}}
image: {{ include "meterhouse.image" $ | quote }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
envFrom:
  - configMapRef: {name: {{ index . 2 }}}
env:
  {{- include "meterhouse.secrets" . | nindent 2 }}
  {{- range $name, $value := (index $.Values (index . 1)).settings }}
  - name: {{ $name }}
    value: {{ $value | toString | quote }}
  {{- end }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- range $name, $_ := include "meterhouse.certificates" . | fromYaml }}
  - {name: {{ $name }}, mountPath: /etc/meterhouse/{{ $name }}, readOnly: true}
{{- end }}
{{- end -}}
