{{/* Labels of every object. Call with (dict "root" $ "component" "operator"). */}}
{{- define "lvs-operator.labels" -}}
{{ include "lvs-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: lvs-operator
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The labels by which a workload finds its pods; they never change. */}}
{{- define "lvs-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ ternary "lvs-node-agent" "lvs-operator" (eq .component "node-agent") }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* An image with its tag. Call with (dict "root" $ "image" .Values.agent.image). */}}
{{- define "lvs-operator.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "lvs-operator.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
